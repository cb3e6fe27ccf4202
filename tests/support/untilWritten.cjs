/**
 * For `npm run coverage`: mocha gives each of its processes a second to end and then sends SIGTERM, and on a busy machine
 * writing the coverage takes longer.
 */
process.on("SIGTERM", () => undefined);
