/** A copy of some bytes with one of them changed. */
export function flip(bytes: Buffer, at: number, mask: number): Buffer {
    const damaged = Buffer.from(bytes);
    damaged[at] = (damaged[at] ?? 0) ^ mask;
    return damaged;
}

/** Whether one of the problems names a place that a byte is in: the byte, or the file or header around it. */
export function isNamed(problems: readonly string[], at: number): boolean {
    return problems.some((problem) => {
        const ranges = [...problem.matchAll(/(\d+) to (\d+)/g)].map(([, from, to]) => [Number(from), Number(to)]);
        const exact = [...problem.matchAll(/byte (\d+) is not (?:zero|what)/g)].map(([, byte]) => Number(byte));
        return exact.includes(at) || ranges.some(([from = 0, to = 0]) => from <= at && at <= to);
    });
}
