import "./smallHeap";
import { main } from "./main";

// A rejection is not possible: main turns every failure into an exit code.
void main(process.argv.slice(2)).then((code) => {
    process.exit(code);
});
