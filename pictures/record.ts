/**
 * `npm run pictures:terminal` (Linux, root, tmux): pictures of the command line, from real runs. Starts the lab, types
 * commands into a terminal as somebody who holds the published policies, and draws what it shows to docs/terminal/.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { type Lab, startLab } from "../lab/lab";
import { terminalPicture } from "./terminal";

const root = resolve(__dirname, "..");
const folder = join(root, "docs", "terminal");
const columns = 136;
const prompt = "$ ";

/** A terminal of tmux, on a server of its own. */
class Terminal {
    private readonly server = `image-export-pictures-${process.pid}`;

    public constructor(environment: Record<string, string>, folderOfFiles: string) {
        const promptFile = join(folderOfFiles, "prompt.sh");
        writeFileSync(promptFile, `PS1='${prompt}'\n`);
        const variables = Object.entries(environment).flatMap(([name, value]) => ["-e", `${name}=${value}`]);
        this.tmux(
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            String(columns),
            "-y",
            "40",
            ...variables,
            `bash --noprofile --rcfile ${promptFile}`,
        );
        this.tmux("set-option", "-g", "status", "off");
    }

    /** Types a command into the empty screen, and waits until the prompt is back. @returns every screen that was seen */
    public async run(command: string): Promise<string[]> {
        this.tmux("send-keys", "clear", "Enter");
        await sleep(500);
        this.tmux("send-keys", "-l", command);
        this.tmux("send-keys", "Enter");
        const screens: string[] = [];
        for (let waited = 0; waited < 1200; waited++) {
            await sleep(100);
            const screen = this.screen();
            if (screen !== screens.at(-1)) screens.push(screen);
            const last = screen.trimEnd().split("\n").at(-1);
            if (waited > 5 && last?.trim() === prompt.trim() && screens.length > 1) return screens;
        }
        throw new Error(`${command} does not end:\n${this.screen()}`);
    }

    public stop(): void {
        this.tmux("kill-server");
    }

    private screen(): string {
        return this.tmux("capture-pane", "-e", "-p");
    }

    private tmux(...args: string[]): string {
        return execFileSync("tmux", ["-L", this.server, ...args], { cwd: root, encoding: "utf8" });
    }
}

/** The screen without the prompt that waits for the next command. */
function withoutPrompt(screen: string): string {
    const lines = screen.trimEnd().split("\n");
    return lines.slice(0, -1).join("\n");
}

function environmentOf(lab: Lab): Record<string, string> {
    const { accessKeyId, secretAccessKey, sessionToken } = lab.holderOf(
        "startExportPolicy",
        "readArtifactsPolicy",
    );
    return {
        PATH: process.env["PATH"] ?? "",
        HOME: process.env["HOME"] ?? "",
        AWS_ENDPOINT_URL: lab.endpoint,
        AWS_REGION: lab.image.repository.region,
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
        AWS_SESSION_TOKEN: sessionToken,
        IMAGE_EXPORT_STATE_MACHINE_ARN: String(lab.stack.outputs["stateMachineArn"]),
    };
}

async function main(): Promise<void> {
    const lab = await startLab({ engine: "stream", tell: console.log });
    let terminal: Terminal | undefined;
    try {
        terminal = new Terminal(environmentOf(lab), lab.folder);
        const draw = (name: string, title: string, screen: string) => {
            writeFileSync(join(folder, `${name}.svg`), terminalPicture(title, screen, columns));
            console.log(`docs/terminal/${name}.svg`);
        };
        mkdirSync(folder, { recursive: true });

        const started = await terminal.run("npx image-export start");
        const live = started.filter((screen) => screen.includes("since the start"));
        draw("watching", "An export that is followed", live.at(-1) ?? "");
        draw("start", "An export that has ended", withoutPrompt(started.at(-1) ?? ""));

        await terminal.run("npx image-export start");
        const missing = lab.image.uri.replace(/:[^:]*$/, ":1.99");
        const failed = await terminal.run(`npx image-export start --image ${missing}`);
        draw("failure", "An export of an image that does not exist", withoutPrompt(failed.at(-1) ?? ""));

        const listed = await terminal.run("npx image-export list");
        draw("list", "The exports of a stack", withoutPrompt(listed.at(-1) ?? ""));

        const bucket = String(lab.stack.outputs["artifactBucketName"]);
        const archive = `s3://${bucket}/images/${lab.image.repository.name}/${lab.image.tag ?? "latest"}.tar`;
        const verified = await terminal.run(`npx image-export verify ${archive}`);
        draw("verify", "An archive that is verified", withoutPrompt(verified.at(-1) ?? ""));
    } finally {
        terminal?.stop();
        await lab.stop();
    }
}

void main();
