/** What tests ask of an evaluated program. */
import { strict as assert } from "node:assert";

import { type Evaluation, isComponent, type RecordedResource } from "../../lab/evaluation";

/** The component of this class; there has to be one. */
export function componentOf(evaluation: Evaluation, className: string): RecordedResource {
    const [found, ...more] = componentsOf(evaluation).filter(({ type }) => type.endsWith(`:${className}`));
    assert(
        found !== undefined && more.length === 0,
        `not one ${className}, among ${typesAndNamesOf(evaluation).join(", ")}`,
    );
    return found;
}

/** Components of the program and of packages. */
export function componentsOf({ resources }: Evaluation): RecordedResource[] {
    return resources.filter(({ type }) => isComponent(type));
}

/** Type and name of every resource, sorted. */
export function typesAndNamesOf({ resources }: Evaluation): string[] {
    return resources.map(({ type, name }) => `${type} ${name}`).sort();
}
