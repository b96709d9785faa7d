// One check of the server with the package openai: node openai.mjs ADDRESS CHECK. Fails with what is wrong.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const [address, check] = process.argv.slice(2);
const client = new OpenAI({ baseURL: address + "v1", apiKey: "secret" });
const model = "org/tiny";
const messages = [{ role: "user", content: "Who is Elizabeth?" }];
const weather = {
  type: "function",
  function: {
    name: "weather",
    description: "Tells it.",
    parameters: { type: "object", properties: { city: { enum: ["Bath", "London"] } }, required: ["city"], additionalProperties: false },
  },
};

const checks = {
  async chat() {
    const answer = await client.chat.completions.create({ model, messages, max_tokens: 12, temperature: 0 });
    assert.equal(typeof answer.choices[0].message.content, "string");
    assert.equal(answer.choices[0].finish_reason, "length");
    assert.equal(answer.usage.completion_tokens, 12);
    assert.match(answer._request_id, /^req_/);
  },

  async stream() {
    const settings = { model, messages, max_tokens: 20, temperature: 0 };
    const whole = await client.chat.completions.create(settings);
    let text = "", usage = null;
    const stream = await client.chat.completions.create({ ...settings, stream: true, stream_options: { include_usage: true } });
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, whole.choices[0].message.content);
    assert.equal(usage.completion_tokens, 20);
    const helper = client.chat.completions.stream(settings);
    const final = await helper.finalChatCompletion();
    assert.equal(final.choices[0].message.content, text);
  },

  async responses() {
    const settings = { model, input: messages, max_output_tokens: 20, temperature: 0 };
    const whole = await client.responses.create(settings);
    const chat = await client.chat.completions.create({ model, messages, max_tokens: 20, temperature: 0 });
    assert.equal(whole.output_text, chat.choices[0].message.content);
    assert.equal(whole.status, "incomplete");
    assert.equal(whole.usage.output_tokens, 20);
    let text = "", last = null;
    for await (const event of await client.responses.create({ ...settings, stream: true })) {
      if (event.type === "response.output_text.delta") text += event.delta;
      last = event;
    }
    assert.equal(text, whole.output_text);
    assert.equal(last.type, "response.incomplete");
    const final = await client.responses.stream(settings).finalResponse();
    assert.equal(final.output_text, text);
    const { name, description, parameters } = weather.function;
    const tools = [{ type: "function", name, description, parameters, strict: true }];
    const called = await client.responses.create({ model, input: messages, tools, tool_choice: "required", parallel_tool_calls: false, temperature: 0 });
    const call = called.output[0];
    assert.equal(call.type, "function_call");
    assert.ok(["Bath", "London"].includes(JSON.parse(call.arguments).city));
    const next = await client.responses.create({
      model, tools, max_output_tokens: 8, input: [...messages, ...called.output, { type: "function_call_output", call_id: call.call_id, output: "rain" }],
    });
    assert.ok(next.usage.input_tokens > called.usage.input_tokens);
    const format = zodTextFormat(z.object({ city: z.enum(["Bath", "London"]) }), "place");
    const parsed = await client.responses.parse({ model, input: "Where?", temperature: 0, text: { format } });
    assert.ok(["Bath", "London"].includes(parsed.output_parsed.city));
    await assert.rejects(client.responses.create({ ...settings, previous_response_id: "resp_1" }), error => error.status === 400 && error.param === "previous_response_id");
  },

  async tools() {
    const settings = { model, messages, tools: [weather], tool_choice: "required", parallel_tool_calls: false, temperature: 0 };
    const answer = await client.chat.completions.create(settings);
    assert.equal(answer.choices[0].finish_reason, "tool_calls");
    const call = answer.choices[0].message.tool_calls[0];
    assert.equal(call.function.name, "weather");
    assert.ok(["Bath", "London"].includes(JSON.parse(call.function.arguments).city));
    const streamed = await client.chat.completions.stream(settings).finalChatCompletion();
    assert.equal(streamed.choices[0].message.tool_calls[0].function.arguments, call.function.arguments);
    const next = await client.chat.completions.create({
      model, tools: [weather], max_tokens: 8,
      messages: [...messages, answer.choices[0].message, { role: "tool", tool_call_id: call.id, content: "rain" }],
    });
    assert.ok(next.usage.prompt_tokens > answer.usage.prompt_tokens);
  },

  async parse() {
    const format = z.object({ isWet: z.boolean(), city: z.enum(["Bath", "London"]) });
    const answer = await client.chat.completions.parse({ model, messages, temperature: 1, seed: 1, response_format: zodResponseFormat(format, "weather") });
    assert.equal(typeof answer.choices[0].message.parsed.isWet, "boolean");
  },

  async completions() {
    const answer = await client.completions.create({ model, prompt: ["It is a truth", [1, 2, 3]], max_tokens: 6, logprobs: 2, temperature: 0 });
    assert.equal(answer.choices.length, 2);
    assert.equal(answer.choices[0].logprobs.tokens.length, 6);
  },

  async embeddings() {
    const input = ["Mr. Darcy", "a dark evening"];
    const packed = await client.embeddings.create({ model, input });
    const plain = await client.embeddings.create({ model, input, encoding_format: "float" });
    assert.deepEqual(packed.data.map((item) => item.embedding), plain.data.map((item) => item.embedding.map(Math.fround)));
    for (const item of packed.data) {
      assert.ok(Math.abs(item.embedding.reduce((sum, value) => sum + value * value, 0) - 1) < 1e-4);
    }
    const few = await client.embeddings.create({ model, input, dimensions: 8 });
    assert.equal(few.data[1].embedding.length, 8);
  },

  async models() {
    const list = [];
    for await (const each of client.models.list()) list.push(each.id);
    assert.deepEqual(list, [model]);
    assert.equal((await client.models.retrieve(model)).id, model);
  },

  async abort() {
    const stream = await client.chat.completions.create({ model, messages, stream: true, max_tokens: 400, logit_bias: { 2047: -100, 2045: -100 } });
    for await (const chunk of stream) if (chunk.choices[0].delta.content) break;
    assert.ok(stream.controller.signal.aborted);
  },

  async errors() {
    const stranger = new OpenAI({ baseURL: address + "v1", apiKey: "guess" });
    await assert.rejects(stranger.models.list(), (error) => error instanceof OpenAI.AuthenticationError && error.code === "invalid_api_key");
    await assert.rejects(
      client.chat.completions.create({ model, messages, temperature: 7 }),
      (error) => error instanceof OpenAI.BadRequestError && error.param === "temperature" && /temperature/.test(error.message) && /^req_/.test(error.requestID),
    );
    await assert.rejects(client.models.retrieve("other"), (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found");
  },
};

await checks[check]();
