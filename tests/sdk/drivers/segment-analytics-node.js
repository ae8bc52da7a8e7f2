const { Analytics } = require("@segment/analytics-node");
const { url, key, calls, outcome, settled } = require("./driver");

const analytics = new Analytics({ writeKey: key, host: url });

const sent = calls.map(({ type, timestamp, ...call }) =>
  settled((done) => analytics[type]({ ...call, timestamp: new Date(timestamp) }, done)),
);
analytics.closeAndFlush();
Promise.all(sent).then(() => outcome(), outcome);
