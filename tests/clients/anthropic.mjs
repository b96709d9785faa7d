// One check of the server with the package @anthropic-ai/sdk: node anthropic.mjs ADDRESS CHECK. Fails with what is wrong.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const [address, check] = process.argv.slice(2);
const client = new Anthropic({ baseURL: address.replace(/\/$/, ""), apiKey: "secret" });
const model = "org/tiny";
const messages = [{ role: "user", content: "Who is Elizabeth?" }];
const weather = {
  name: "weather",
  description: "Tells it.",
  input_schema: { type: "object", properties: { city: { enum: ["Bath", "London"] } }, required: ["city"], additionalProperties: false },
};

const checks = {
  async message() {
    const answer = await client.messages.create({ model, messages, system: "Be brief.", max_tokens: 12, temperature: 0 });
    assert.equal(answer.type, "message");
    assert.equal(answer.content[0].type, "text");
    assert.equal(answer.stop_reason, "max_tokens");
    assert.equal(answer.usage.output_tokens, 12);
    assert.match(answer._request_id, /^req_/);
  },

  async stream() {
    const settings = { model, messages, max_tokens: 20, temperature: 0 };
    const whole = await client.messages.create(settings);
    let text = "";
    for await (const event of await client.messages.create({ ...settings, stream: true })) {
      if (event.type === "content_block_delta") text += event.delta.text;
    }
    assert.equal(text, whole.content[0].text);
    const pieces = [];
    const final = await client.messages.stream(settings).on("text", (piece) => pieces.push(piece)).finalMessage();
    assert.equal(pieces.join(""), text);
    assert.equal(final.content[0].text, text);
    assert.equal(final.stop_reason, "max_tokens");
    assert.equal(final.usage.output_tokens, 20);
  },

  async stop() {
    const whole = await client.messages.create({ model, messages, max_tokens: 20, temperature: 0 });
    const stop = whole.content[0].text.slice(8, 12);
    const answer = await client.messages.create({ model, messages, max_tokens: 20, temperature: 0, stop_sequences: [stop] });
    assert.equal(answer.stop_reason, "stop_sequence");
    assert.equal(answer.stop_sequence, stop);
  },

  async tools() {
    const settings = { model, messages, max_tokens: 300, tools: [weather], tool_choice: { type: "any", disable_parallel_tool_use: true }, temperature: 0 };
    const answer = await client.messages.create(settings);
    assert.equal(answer.stop_reason, "tool_use");
    const call = answer.content.find((block) => block.type === "tool_use");
    assert.ok(["Bath", "London"].includes(call.input.city));
    const streamed = await client.messages.stream(settings).finalMessage();
    assert.deepEqual(streamed.content.find((block) => block.type === "tool_use").input, call.input);
    const next = await client.messages.create({
      model, max_tokens: 8, tools: [weather],
      messages: [...messages, { role: "assistant", content: answer.content }, { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "rain" }] }],
    });
    assert.equal(next.role, "assistant");
  },

  async count() {
    const few = await client.messages.countTokens({ model, messages });
    const more = await client.messages.countTokens({ model, messages, system: "Be brief." });
    assert.ok(few.input_tokens > 0 && more.input_tokens > few.input_tokens);
  },

  async models() {
    const list = [];
    for await (const each of client.models.list()) list.push(each);
    assert.deepEqual(list.map((each) => each.id), [model]);
    const one = await client.models.retrieve(model);
    assert.deepEqual([one.type, one.display_name], ["model", model]);
    assert.ok(Math.abs(Date.now() - Date.parse(one.created_at)) < 86_400_000);
  },

  async abort() {
    const stream = await client.messages.create({ model, messages, stream: true, max_tokens: 400, logit_bias: { 2047: -100, 2045: -100 } });
    for await (const event of stream) if (event.type === "content_block_delta") break;
    assert.ok(stream.controller.signal.aborted);
  },

  async errors() {
    const stranger = new Anthropic({ baseURL: address.replace(/\/$/, ""), apiKey: "guess" });
    await assert.rejects(stranger.messages.create({ model, messages, max_tokens: 1 }), (error) =>
      error instanceof Anthropic.AuthenticationError && error.error.error.type === "authentication_error");
    await assert.rejects(client.messages.create({ model, messages, max_tokens: 0 }), (error) =>
      error instanceof Anthropic.BadRequestError && error.error.error.type === "invalid_request_error"
      && /'max_tokens' is 0/.test(error.message) && /^req_/.test(error.requestID));
  },
};

await checks[check]();
