// Runs the tests of npm's `http-cache-tests` through the gateway and says what came of them, a line each: its kind, its id, its result.
// `node suite.mjs BASE [ID]`; with an ID that test alone, with all that was sent.
import fetch from 'node-fetch'
import { runTests, getResults } from 'http-cache-tests/client/runner.mjs'
import suites from 'http-cache-tests/tests/index.mjs'

const [base, only] = process.argv.slice(2)
const tests = suites.flatMap((suite) => suite.tests).filter((test) => !only || test.id === only)
if (only) tests.forEach((test) => { test.dump = true })
await runTests([{ tests }], fetch, false, base)
const results = getResults()
for (const { id, kind = 'required', depends_on: needs = [] } of tests) {
  const result = results[id]
  if (result === undefined) continue
  // What a test rests on was not there: it says nothing.
  const unfounded = !only && needs.some((need) => results[need] !== true)
  const told = result === true ? 'yes' : unfounded ? 'nothing' : result[0] === 'Setup' ? `setup: ${result[1]}` : `no: ${result[1] ?? result}`
  console.log(`${kind} ${id} ${told}`)
}
