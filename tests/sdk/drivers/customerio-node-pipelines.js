const { PipelinesClient } = require("customerio-node");
const { url, key, calls, outcome } = require("./driver");

const client = new PipelinesClient(key, { url: url + "/v1" });

// half of them one by one, in which the path names the type, and half as a batch
const single = calls.slice(0, calls.length / 2);
const sent = single.map(({ type, ...call }) => client[type](call));
sent.push(client.batch(calls.slice(single.length)));
Promise.all(sent).then(() => outcome(), outcome);
