using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using KQuant.Models;
using KQuant.Server.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace KQuant.Server.Tests;

/// <summary>A real server on a port of the loopback that the system chose, and a client for it.</summary>
internal sealed class ServerHost : IAsyncDisposable
{
    private readonly WebApplication _app;

    private ServerHost(WebApplication app, Uri address)
    {
        (_app, Address) = (app, address);
        Client = new HttpClient { BaseAddress = address, Timeout = Timeout.InfiniteTimeSpan };
    }

    public Uri Address { get; }

    public HttpClient Client { get; }

    public ServedModel Served => _app.Services.GetRequiredService<ServedModel>();

    public static async Task<ServerHost> StartAsync(LanguageModel model, Action<KQuantServerOptions>? configure = null)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.AddKQuant(model, configure);
        WebApplication app = builder.Build();
        app.MapKQuantApi();
        await app.StartAsync();
        return new ServerHost(app, new Uri(app.Urls.Single()));
    }

    /// <summary>Sends a body as it is.</summary>
    public async Task<(HttpStatusCode Status, JsonElement Body)> PostAsync(string path, byte[] body)
    {
        using var content = new ByteArrayContent(body) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } };
        using HttpResponseMessage response = await Client.PostAsync(path, content);
        Assert.That(response.Content.Headers.ContentType!.MediaType, Is.EqualTo("application/json"));
        Assert.That(response.Headers.Contains(path.StartsWith("/v1/messages", StringComparison.Ordinal) ? "request-id" : "x-request-id"));
        return (response.StatusCode, Parse(await response.Content.ReadAsStringAsync()));
    }

    /// <summary>Sends JSON and expects an answer.</summary>
    public async Task<JsonElement> PostAsync(string path, string json)
    {
        (HttpStatusCode status, JsonElement body) = await PostAsync(path, Encoding.UTF8.GetBytes(json));
        Assert.That(status, Is.EqualTo(HttpStatusCode.OK), body.ToString());
        return body;
    }

    /// <summary>Sends JSON and expects an error.</summary>
    public async Task<JsonElement> FailAsync(string path, string json, HttpStatusCode expected)
    {
        (HttpStatusCode status, JsonElement body) = await PostAsync(path, Encoding.UTF8.GetBytes(json));
        Assert.That(status, Is.EqualTo(expected), body.ToString());
        return body.GetProperty("error");
    }

    /// <summary>Begins an answer that comes in pieces.</summary>
    public async Task<HttpResponseMessage> OpenAsync(string path, string json, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(json, Encoding.UTF8, "application/json") };
        HttpResponseMessage response = await Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK));
        Assert.That(response.Content.Headers.ContentType!.MediaType, Is.EqualTo("text/event-stream"));
        return response;
    }

    /// <summary>The data of all events of an answer; the last one has to say that nothing follows.</summary>
    public async Task<List<JsonElement>> StreamAsync(string path, string json)
    {
        using HttpResponseMessage response = await OpenAsync(path, json);
        string[] events = (await response.Content.ReadAsStringAsync()).Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.That(events[^1], Is.EqualTo("data: [DONE]"));
        return [.. events[..^1].Where(text => text[0] != ':').Select(text => Parse(text["data: ".Length..]))];
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _app.DisposeAsync();
    }

    private static JsonElement Parse(string json)
    {
        using var document = JsonDocument.Parse(json);
        return document.RootElement.Clone();
    }
}
