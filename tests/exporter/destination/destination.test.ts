import { strict as assert } from "node:assert";

import { parseLocation } from "../../../exporter/destination/destination";

describe("parseLocation", () => {
    it("reads an object of S3, and a file", () => {
        const object = { bucket: "my-bucket.1", key: "images/a b/1.tar" };
        assert.deepEqual(parseLocation("s3://my-bucket.1/images/a b/1.tar"), object);
        assert.deepEqual(parseLocation("../a.tar"), { bucket: null, key: "../a.tar" });
    });
    for (const text of [
        "s3://bucket",
        "s3://bucket/",
        "s3://B/a",
        "s3:/bucket/a",
        "s3://bucket/a/../b",
        "s3://bucket/a.json",
        "s3://bucket/a\n",
        `s3://bucket/${"k".repeat(1020)}`,
    ]) {
        it(`refuses ${JSON.stringify(text.slice(0, 40))}`, () => {
            const message =
                /is not an S3 object to write: expected s3:\/\/BUCKET\/KEY with a key of at most 1015 bytes, without/;
            assert.throws(() => parseLocation(text), { name: "InvalidInput", message });
        });
    }
    it("names the alias where an access point is given by its ARN", () => {
        const text = "s3://arn:aws:s3:eu-west-1:111122223333:accesspoint/exports/images/a.tar";
        assert.throws(() => parseLocation(text), { name: "InvalidInput", message: /by its alias, NAME-…-s3alias/ });
        const alias = "exports-8ch4n1xyd5m3wrk7oqz2b6tj9upe1euw1a-s3alias";
        assert.equal(parseLocation(`s3://${alias}/images/a.tar`).bucket, alias);
    });
    for (const text of ["", "folder/"]) {
        it(`refuses "${text}"`, () => {
            assert.throws(() => parseLocation(text), { name: "InvalidInput", message: /not a file to write/ });
        });
    }
});
