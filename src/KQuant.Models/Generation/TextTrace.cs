using System.Diagnostics;
using KQuant.Models.Diagnostics;

namespace KQuant.Models.Generation;

/// <summary>What is measured of a text that is generated.</summary>
internal sealed class TextTrace
{
    private readonly string _model;
    private readonly int _prompt;
    private readonly int _cached;
    private readonly Activity? _activity;
    private TimeSpan _promptTime;
    private TimeSpan _decodeTime;
    private int _generated;
    private FinishReason _reason;

    private TextTrace(string model, int prompt, int cached)
    {
        (_model, _prompt, _cached) = (model, prompt, cached);

        // A text comes piece by piece: the activity is a child of the caller's, but what the caller does between pieces is not its child.
        Activity? current = Activity.Current;
        _activity = Telemetry.Source.StartActivity("kquant.generate");
        Activity.Current = current;
    }

    /// <summary>A text begins.</summary>
    /// <param name="model">The name of the model.</param>
    /// <param name="prompt">Tokens to read.</param>
    /// <param name="cached">Tokens before them.</param>
    /// <returns>Null where nobody listens.</returns>
    public static TextTrace? Begin(string model, int prompt, int cached) => Telemetry.IsWatched ? new TextTrace(model, prompt, cached) : null;

    /// <summary>A step for the text took its time.</summary>
    public void Add(TimeSpan time)
    {
        if (_generated == 0)
        {
            _promptTime += time;
        }
        else
        {
            _decodeTime += time;
        }
    }

    /// <summary>A token came.</summary>
    public void Add(FinishReason reason)
    {
        _reason = reason;
        if (_generated++ == 0)
        {
            Telemetry.Count(_model, "prompt", _prompt);
            Telemetry.Count(_model, "cached", _cached);
            Telemetry.PromptTime.Record(_promptTime.TotalSeconds, Telemetry.Tag(Telemetry.ModelTag, _model));
        }

        Telemetry.Count(_model, "generated", 1);
    }

    /// <summary>The text has ended, or nobody wants the rest.</summary>
    /// <param name="cacheBytes">Bytes of its cache.</param>
    public void End(long cacheBytes)
    {
        if (_generated > 1)
        {
            Telemetry.DecodeTime.Record(_decodeTime.TotalSeconds, Telemetry.Tag(Telemetry.ModelTag, _model));
        }

        if (_activity is null)
        {
            return;
        }

        _activity.SetTag(Telemetry.ModelTag, _model);
        _activity.SetTag("kquant.tokens.prompt", _prompt);
        _activity.SetTag("kquant.tokens.cached", _cached);
        _activity.SetTag("kquant.tokens.generated", _generated);
        _activity.SetTag("kquant.prompt.duration", _promptTime.TotalSeconds);
        _activity.SetTag("kquant.decode.duration", _decodeTime.TotalSeconds);
        _activity.SetTag("kquant.cache.size", cacheBytes);
        _activity.SetTag("kquant.finish_reason", _reason.ToString());
        Activity? current = Activity.Current;
        _activity.Dispose();
        Activity.Current = current;
    }
}
