import { setFlagsFromString } from "node:v8";

// Imported first, before the heap grows. What a transfer throws away is small and short-lived, but V8 would let its
// young generation grow to 48 MB over it; kept at 3 MB, a long export stays under 200 MB in all at no cost in time.
// https://nodejs.org/api/cli.html#--max-semi-space-sizesize-in-mib
setFlagsFromString("--max-semi-space-size=1");
setFlagsFromString("--semi-space-growth-factor=1");
