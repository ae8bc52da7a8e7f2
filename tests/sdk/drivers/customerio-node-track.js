const { TrackClient } = require("customerio-node");
const { url, key, calls, outcome } = require("./driver");

const [siteId, apiKey] = key.split(":");
const client = new TrackClient(siteId, apiKey, { url: url + "/api/v1" });

const methods = {
  metric: (call) => client.reportMetric(call),
  push: (call) => client.trackPush(call),
  unsubscribe: (call) => client.unsubscribe(call.delivery_id),
  identify: (call) => client.identify(call.id, call.attributes),
  event: (call) => client.track(call.id, { name: call.name, timestamp: call.timestamp }),
  device: (call) => client.addDevice(call.id, call.device_id, call.platform, { last_used: call.timestamp }),
  batch: (call) => client.batch(call.operations),
};

async function send() {
  for (const { method, ...call } of calls) await methods[method](call);
}
send().then(() => outcome(), outcome);
