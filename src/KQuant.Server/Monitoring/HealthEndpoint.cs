using KQuant.Server.Batching;
using KQuant.Server.Protocol;

namespace KQuant.Server.Monitoring;

/// <summary><c>GET /health</c>: whether requests are answered, and what is going on.</summary>
internal static class HealthEndpoint
{
    /// <summary>Answers; a server that is being stopped is not ready.</summary>
    public static Task AnswerAsync(ApiCall call)
    {
        BatchEngine engine = call.Served.Engine;
        BatchCounters counters = engine.Counters;
        return call.WriteAsync(
            writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("status", engine.IsClosed ? "shutting down" : "ok");
                writer.WriteString("model", call.Served.Name);
                writer.WriteNumber("slots", call.Served.Options.Parallel);
                writer.WriteNumber("active", counters.Active);
                writer.WriteNumber("waiting", counters.Waiting);
                writer.WriteEndObject();
            },
            engine.IsClosed ? StatusCodes.Status503ServiceUnavailable : StatusCodes.Status200OK);
    }
}
