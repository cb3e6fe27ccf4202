/** The commands. A module is loaded when its command is called, so that the AWS SDK is not when `--help` is. */
/* eslint-disable @typescript-eslint/no-require-imports -- import() of a .ts file would need another module system */
import type { Command } from "./command";

/** An entry of the table of commands. */
export interface CommandEntry {
    /** One line, without a full stop. */
    readonly summary: string;
    readonly load: () => { readonly command: Command };
}

/** The commands by their names, in the order of the help. */
export const commands: Readonly<Record<string, CommandEntry>> = {
    start: {
        summary: "export an image and follow the export to its end",
        load: () => require("./commands/start") as { command: Command },
    },
    batch: {
        summary: "export many images and tell which ones failed",
        load: () => require("./commands/batch") as { command: Command },
    },
    status: {
        summary: "tell how far an export is, or how it ended",
        load: () => require("./commands/status") as { command: Command },
    },
    list: {
        summary: "list the exports of a stack",
        load: () => require("./commands/list") as { command: Command },
    },
    logs: {
        summary: "print what the build of an export wrote",
        load: () => require("./commands/logs") as { command: Command },
    },
    stop: {
        summary: "stop an export that runs",
        load: () => require("./commands/stop") as { command: Command },
    },
    get: {
        summary: "download an archive, and verify it",
        load: () => require("./commands/get") as { command: Command },
    },
    url: {
        summary: "print a link with which anybody can download an archive",
        load: () => require("./commands/url") as { command: Command },
    },
    verify: {
        summary: "check an archive against its record and its digests, and tell what it holds",
        load: () => require("./commands/verify") as { command: Command },
    },
    run: {
        summary: "export an image on this machine, without a stack",
        load: () => require("./commands/run") as { command: Command },
    },
    doctor: {
        summary: "tell what is missing for the lab, for deploying, for exports",
        load: () => require("./commands/doctor") as { command: Command },
    },
    completion: {
        summary: "print a script that completes commands and options in bash, zsh or fish",
        load: () => require("./commands/completion") as { command: Command },
    },
};
