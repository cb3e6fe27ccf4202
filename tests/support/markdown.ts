/** What is in a page of the documentation: its headings, links and code blocks, as prettier's parser sees them. */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { parsers } from "prettier/plugins/markdown";

import { root } from "../../lab/stackFiles";

/** A heading. */
export interface Heading {
    readonly depth: number;
    readonly text: string;
    /** The name that GitHub gives it in a link. */
    readonly anchor: string;
    /** The addresses of links and images below it, up to the next heading. */
    readonly links: string[];
    /** What is set as code within the texts and tables below it. */
    readonly code: string[];
}

/** A fenced block of code. */
export interface CodeBlock {
    /** Its language, as written after the fence. */
    readonly language: string;
    readonly code: string;
    /** Line of the page on which its fence begins. */
    readonly line: number;
    /** Text of the nearest heading above. */
    readonly section: string;
}

/** A page, read. */
export interface Page {
    readonly headings: readonly Heading[];
    /** The addresses of links and images, in the order of the page. */
    readonly links: readonly string[];
    readonly blocks: readonly CodeBlock[];
    /** Each table as rows of cells, the first row being its head. Cells are as they are written, without formatting. */
    readonly tables: readonly (readonly (readonly string[])[])[];
}

/** A node of the syntax tree, as far as it is looked at here. */
interface Node {
    readonly type: string;
    readonly children?: readonly Node[];
    readonly value?: string;
    readonly url?: string;
    readonly lang?: string | null;
    readonly depth?: number;
    readonly position: { readonly start: { readonly line: number } };
}

const generated = new Set(["node_modules", ".git", ".lab", "coverage", "dist"]);

/** Every page of the repository, relative to its root. */
export function listPages(): string[] {
    return globSync("**/*.md", { cwd: root, exclude: (name) => generated.has(name) }).sort();
}

/**
 * Reads a page.
 *
 * @param file Its path, relative to the root of the repository.
 */
export async function readPage(file: string): Promise<Page> {
    return parsePage(readFileSync(join(root, file), "utf8"));
}

/** Reads a page out of its text. */
export async function parsePage(text: string): Promise<Page> {
    // The parser looks at none of its options.
    const tree = (await parsers.markdown.parse(text, {} as never)) as Node;
    const headings: Heading[] = [];
    const links: string[] = [];
    const blocks: CodeBlock[] = [];
    const tables: string[][][] = [];
    for (const node of nodesOf(tree)) {
        if (node.type === "heading") {
            headings.push(headingOf(node, headings));
        } else if (node.url !== undefined) {
            links.push(node.url);
            headings.at(-1)?.links.push(node.url);
        } else if (node.type === "inlineCode") {
            headings.at(-1)?.code.push(node.value ?? "");
        } else if (node.type === "code") {
            blocks.push({
                language: node.lang ?? "",
                code: node.value ?? "",
                line: node.position.start.line,
                section: headings.at(-1)?.text ?? "",
            });
        } else if (node.type === "table") {
            tables.push((node.children ?? []).map((row) => (row.children ?? []).map(textOf)));
        }
    }
    return { headings, links, blocks, tables };
}

function* nodesOf(node: Node): Generator<Node> {
    yield node;
    for (const child of node.children ?? []) yield* nodesOf(child);
}

function headingOf(node: Node, before: readonly Heading[]): Heading {
    const text = textOf(node);
    const anchor = text
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc} -]/gu, "")
        .replaceAll(" ", "-");
    const sameName = before.filter((heading) => heading.text === text).length;
    return {
        depth: node.depth ?? 0,
        text,
        anchor: sameName === 0 ? anchor : `${anchor}-${sameName}`,
        links: [],
        code: [],
    };
}

function textOf(node: Node): string {
    return [...nodesOf(node)].map(({ value }) => value ?? "").join("");
}
