// Says of each message whether AWS's own validator takes it. Certificates come from `files`, by their path, and not from AWS.
const https = require("https");
const { Readable } = require("stream");
const { EventEmitter } = require("events");
const { calls } = require("./driver");

https.get = (address, respond) => {
  const { host, pathname } = new URL(address);
  const file = host === calls.host ? calls.files[pathname] : undefined;
  const answer = Readable.from(file === undefined ? [] : [Buffer.from(file)]);
  respond(Object.assign(answer, { statusCode: file === undefined ? 404 : 200 }));
  return new EventEmitter();
};

const Validator = require("sns-validator");

async function main() {
  const verdicts = [];
  for (const message of calls.messages) {
    verdicts.push(await new Promise((resolve) => new Validator().validate(message, (error) => resolve(!error))));
  }
  console.log("outcome " + JSON.stringify(verdicts));
}
main();
