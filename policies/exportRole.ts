/** The role of the state machine that exports one image, beside what every state machine's has. */
import { repositoryArn } from "../contract/image";
import { setRequestPrefix } from "../contract/keys";
import { allow, arnIn, joined, type PolicyTable } from "./document";
import { putEncrypted } from "./key";

export const exportRole = {
    ResolveTags: {
        why: "the state machine asks ECR which digest a tag means, and spares the build of what is exported already",
        page: "AmazonECR/latest/APIReference/API_DescribeImages.html",
        statement: ({ askedRepositories }) =>
            askedRepositories.length > 0 && allow("ecr:DescribeImages", askedRepositories.map(repositoryArn)),
    },
    FindExports: {
        why: "the state machine looks whether an archive and its record exist: HEAD, which S3 grants with the right to read",
        page: "AmazonS3/latest/API/API_HeadObject.html",
        statement: ({ artifactBucketArn, artifactPrefix }) =>
            allow("s3:GetObject", joined`${artifactBucketArn}/${artifactPrefix}*`),
    },
    WriteSets: {
        why: "the state machine writes the list of a set's images for the build, whose variables cannot hold it",
        page: "AmazonS3/latest/API/API_PutObject.html",
        statement: ({ engine, artifactBucketArn }) =>
            engine === "stream" && allow("s3:PutObject", joined`${artifactBucketArn}/${setRequestPrefix}*`),
    },
    PutEncrypted: putEncrypted,
    RunBuilds: {
        why: "the state machine starts builds of one project, reads how they ended, and stops the build of an aborted execution, which would run on and be billed",
        page: "step-functions/latest/dg/connect-codebuild.html",
        statement: ({ projectArn }) =>
            allow("codebuild:BatchGetBuilds codebuild:StartBuild codebuild:StopBuild", projectArn),
    },
    AwaitBuilds: {
        why: "Step Functions learns from one EventBridge rule, which it manages itself, that a build has ended",
        page: "step-functions/latest/dg/connect-codebuild.html",
        statement: ({ at }) =>
            allow(
                "events:DescribeRule events:PutRule events:PutTargets",
                arnIn(at, "events", "rule/StepFunctionsGetEventForCodeBuildStartBuildRule"),
            ),
    },
} satisfies PolicyTable<
    "at" | "askedRepositories" | "projectArn" | "artifactBucketArn" | "artifactPrefix" | "encryptionKeyArn" | "engine"
>;
