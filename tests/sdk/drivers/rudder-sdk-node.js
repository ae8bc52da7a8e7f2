const RudderAnalytics = require("@rudderstack/rudder-sdk-node");
const { url, key, calls, outcome: report, settled } = require("./driver");

// without a handler a refused batch ends the process, as a rejected promise that nobody sees
const analytics = new RudderAnalytics(key, { dataPlaneUrl: url, errorHandler: report });

// Of its two times `timestamp` may be skewed by the sender's clock, so Waybill reads the original one, which this SDK
// sets to now where it is not given.
const sent = calls.map(({ type, timestamp, ...call }) =>
  settled((done) => analytics[type]({ ...call, originalTimestamp: new Date(timestamp) }, done)),
);
analytics.flush();
Promise.all(sent).then(() => report(), () => {});
