// What the drivers of the JavaScript SDKs have in common. They are run with the address of a server, a key and a list
// of calls as JSON, and say at the end what the SDK itself made of it.

const [url, key, calls] = process.argv.slice(2);

/** What an SDK reported: nothing, or an error. */
function outcome(error) {
  console.log("outcome " + JSON.stringify({ ok: !error, error: error ? String(error.message ?? error) : null }));
}

/** Makes a method with a callback one with a promise. */
function settled(call) {
  return new Promise((resolve, reject) => call((error) => (error ? reject(error) : resolve())));
}

module.exports = { url, key, calls: JSON.parse(calls), outcome, settled };
