const { APIClient } = require("customerio-node");
const { url, key, calls } = require("./driver");

const client = new APIClient(key, { url: url + "/v1" });

/** What each call gives, or the status of its error. */
async function read() {
  const answers = [];
  for (const [method, ...args] of calls) {
    answers.push(await client[method](...args).catch((error) => ({ error: error.statusCode, message: error.message })));
  }
  console.log("outcome " + JSON.stringify(answers));
}
read();
