/** A fixed set of things that are lent out, first come, first served. A pool of numbers is a limit on how many run at a time. */
export function createPool<T>(items: readonly T[]) {
    const free = [...items];
    const waiting: ((item: T) => void)[] = [];

    /** Lends a thing; waits until one is free. */
    async function acquire(): Promise<T> {
        const item = free.pop();
        return item ?? new Promise<T>((resolve) => waiting.push(resolve));
    }

    /** Takes a thing back. */
    function release(item: T): void {
        const next = waiting.shift();
        if (next) {
            next(item);
        } else {
            free.push(item);
        }
    }

    /** Lends a thing for as long as `action` runs. */
    async function use<R>(action: (item: T) => Promise<R>): Promise<R> {
        const item = await acquire();
        try {
            return await action(item);
        } finally {
            release(item);
        }
    }

    return { acquire, release, use };
}

/** A pool that only counts: at most `count` actions at a time. */
export function createLimit(count: number) {
    return createPool(Array.from({ length: count }, (_, at) => at));
}
