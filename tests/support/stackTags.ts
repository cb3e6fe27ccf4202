/**
 * The tags that the resources of a stack have to have, besides `component`.
 *
 * @param given Those of the stack's configuration.
 */
export function tagsOfStack(stack: string, given: Record<string, string> = {}): Record<string, string> {
    return { project: "ecr-image-export", stack, "managed-by": "pulumi", ...given };
}
