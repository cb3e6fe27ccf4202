import { parseReference } from "../../../contract/image";
import { openRegistries, type RegistryOptions } from "../../../exporter/registry/registry";

/** Opens the repository of an image by itself. */
export function openRegistry(image: string, options: RegistryOptions) {
    const registries = openRegistries(options);
    return { ...registries.open(parseReference(image)), close: registries.close };
}
