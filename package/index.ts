/**
 * What the npm package `ecr-image-export` offers to other programs: the pipeline as one component, its parts, and a reader of
 * the outputs of its stacks.
 *
 * @packageDocumentation
 */
export { type ImageExportArgs, ImageExport, type LogGroupNames } from "../imageExport";
export type * from "../settings";
export { readStackOutput, stackOutputNames, type StackOutputs } from "../components/stackOutputs";

export {
    ArtifactStorage,
    type ArtifactStorageArgs,
    type Encryption,
    type Retention,
} from "../components/storage";
export {
    BuildRunner,
    type BuildNetwork,
    type BuildRunnerArgs,
    type Compute,
    type Engine,
} from "../components/buildRunner";
export { ExportOrchestration, type ExportOrchestrationArgs } from "../components/orchestration";
export { BatchOrchestration, type BatchOrchestrationArgs } from "../components/batch";
export { IsolatedNetwork, type IsolatedNetworkArgs } from "../components/network";
export {
    PullThroughCache,
    type PullThroughCacheArgs,
    type PullThroughCacheRule,
} from "../components/pullThroughCache";
export { type PushTrigger, type ScheduleTrigger, Triggers, type TriggersArgs } from "../components/triggers";

export type { AwsLocation } from "../components/iamStatements";
export {
    type EcrImage,
    type EcrRepository,
    parseImageUri,
    parseRepositoryArn,
} from "../components/imageReference";
export { loadEngine } from "../engine";
