/**
 * What mocha prints: dots and failures, as its reporter "dot" does, and then how long the files with the longest tests took, so that
 * one that slows the whole down is seen.
 */
const path = require("node:path");

const { reporters, Runner } = require("mocha");

/** Files that are listed. */
const listed = 12;

module.exports = function reporter(runner, options) {
    const seconds = new Map();
    const count = ({ file, duration = 0 }) => {
        if (file !== undefined) seconds.set(file, (seconds.get(file) ?? 0) + duration / 1000);
    };
    runner.on(Runner.constants.EVENT_TEST_END, count);
    runner.on(Runner.constants.EVENT_HOOK_END, count);
    const dot = new reporters.Dot(runner, options);
    runner.once(Runner.constants.EVENT_RUN_END, () => {
        console.log("  Seconds by file:");
        const longest = [...seconds].sort(([, one], [, other]) => other - one).slice(0, listed);
        for (const [file, each] of longest) {
            console.log(`  ${each.toFixed(1).padStart(6)} ${path.relative(process.cwd(), file)}`);
        }
        console.log("");
    });
    return dot;
};
