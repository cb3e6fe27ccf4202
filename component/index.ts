/**
 * The source-based Pulumi package `ecr-image-export`: hosts the component for programs in any language. Pulumi makes the
 * schema of the types of its arguments and outputs, as it finds them in the sources.
 */
import { componentProviderHost } from "@pulumi/pulumi/provider/experimental";

import { ImageExport } from "../imageExport";

void componentProviderHost({ name: "ecr-image-export", dirname: __dirname, components: [ImageExport] });
