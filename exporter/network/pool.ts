/**
 * A fixed set of things that are lent out, first come, first served. A pool of numbers is a limit on how many run at a time.
 *
 * @returns lends a thing for as long as `action` runs, once one is free
 */
export function createPool<T>(items: readonly T[]) {
    const free = [...items];
    const waiting: ((item: T) => void)[] = [];
    return async <R>(action: (item: T) => Promise<R>): Promise<R> => {
        const item = free.pop() ?? (await new Promise<T>((resolve) => waiting.push(resolve)));
        try {
            return await action(item);
        } finally {
            const next = waiting.shift();
            if (next) next(item);
            else free.push(item);
        }
    };
}

/** A pool that only counts: at most `count` actions at a time. */
export function createLimit(count: number) {
    return createPool(Array.from({ length: count }, (_, at) => at));
}
