/** The value of the tag `component`, by the class of the component. */
const parts: Record<string, string> = {
    ArtifactStorage: "storage",
    BatchOrchestration: "batch",
    BuildRunner: "build",
    ExportOrchestration: "orchestration",
    IsolatedNetwork: "network",
    Monitoring: "monitoring",
    Triggers: "triggers",
};

/**
 * The tags that the resources of a stack have to have, by the class of their component.
 *
 * @param given Those of the stack's configuration.
 */
export function tagsOfStack(
    stack: string,
    given: Record<string, string> = {},
): (component: string) => Record<string, string> {
    return (component) => ({
        component: parts[component] ?? `no part is known for ${component}`,
        project: "ecr-image-export",
        stack,
        "managed-by": "pulumi",
        ...given,
    });
}
