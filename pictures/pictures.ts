/** The pictures of the documentation, by the file that each is committed as. */
import { join } from "node:path";

import { dashboardBody } from "../components/dashboard";
import { exportDefinition } from "../components/definition";
import { parseImageUri, parseRepositoryArn } from "../components/imageReference";
import { drawDashboard } from "./dashboard";
import { drawPipeline } from "./pipeline";
import { drawStateMachine } from "./stateMachine";
import { drawTarLayout } from "./tarLayout";

const docs = join(__dirname, "..", "docs");
const image = parseImageUri("111122223333.dkr.ecr.ap-northeast-1.amazonaws.com/nginx:1.29");

/** The definition that is drawn: of a stack with two repositories. */
export const drawnDefinition = exportDefinition({
    at: { partition: "aws", region: "ap-northeast-1", accountId: "111122223333" },
    projectName: "image-export",
    engine: "docker",
    imageUri: image.uri,
    repositories: [
        image.repository,
        parseRepositoryArn("arn:aws:ecr:ap-northeast-1:111122223333:repository/backend/api"),
    ],
    artifactBucket: "image-export",
    artifactPrefix: "images/",
    timeoutMinutes: 30,
    queuedTimeoutMinutes: 60,
});

/** The dashboard that is drawn. Names of resources do not show. */
export const drawnDashboard = dashboardBody({
    region: "ap-northeast-1",
    exportMachineArn: "arn:aws:states:ap-northeast-1:111122223333:stateMachine:image-export",
    batchMachineArn: "arn:aws:states:ap-northeast-1:111122223333:stateMachine:image-export-batch",
    projectName: "image-export",
    timeoutMinutes: 30,
    bucketName: "image-export",
    executionLogs: ["/aws/vendedlogs/states/image-export", "/aws/vendedlogs/states/image-export-batch"],
});

/** How each file is drawn. */
export const pictures: Readonly<Record<string, () => string>> = {
    [join(docs, "dashboard.svg")]: () => drawDashboard(drawnDashboard),
    [join(docs, "pipeline.svg")]: drawPipeline,
    [join(docs, "state-machine.svg")]: () => drawStateMachine(drawnDefinition),
    [join(docs, "tar-layout.svg")]: drawTarLayout,
};
