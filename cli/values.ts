/** Values of options that are no plain texts. */
import { UsageFailure } from "./failure";

const unitsMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * A duration as `90s`, `15m`, `24h` or `7d`.
 *
 * @returns milliseconds
 */
export function parseDuration(option: string, text: string): number {
    const [, count = "", unit = ""] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
    const unitMs = unitsMs[unit];
    if (unitMs === undefined || Number(count) === 0) {
        throw new UsageFailure(
            `${option} is "${text}": expected a number and s, m, h or d, for instance 24h.`,
        );
    }
    return Number(count) * unitMs;
}

/** A whole number from 1 on. */
export function parseCount(option: string, text: string, atMost: number): number {
    const count = /^[1-9]\d{0,8}$/.test(text) ? Number(text) : 0;
    if (count === 0 || count > atMost) {
        throw new UsageFailure(`${option} is "${text}": expected a whole number from 1 to ${atMost}.`);
    }
    return count;
}
