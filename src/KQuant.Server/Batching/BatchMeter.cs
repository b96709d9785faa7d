using System.Diagnostics.Metrics;
using KQuant.Models.Diagnostics;

namespace KQuant.Server.Batching;

/// <summary>
/// The numbers of a batch as instruments of the meter KQuant, beside those of the model, and what all of these say since the server started.
/// </summary>
internal sealed class BatchMeter : IDisposable
{
    /// <summary>Texts that are being written.</summary>
    public const string Active = "kquant.server.texts.active";

    /// <summary>Texts that wait for a place.</summary>
    public const string Waiting = "kquant.server.texts.waiting";

    /// <summary>Texts that were taken into the batch.</summary>
    public const string Texts = "kquant.server.texts";

    /// <summary>Steps of the batch.</summary>
    public const string Steps = "kquant.server.steps";

    /// <summary>Texts of all steps.</summary>
    public const string StepTexts = "kquant.server.steps.texts";

    private readonly Meter _meter = new(Telemetry.Name, typeof(BatchMeter).Assembly.GetName().Version?.ToString(3));
    private readonly MeterListener _listener = new();
    private readonly Lock _gate = new();
    private readonly Dictionary<(string Instrument, string? Kind), double> _sums = [];
    private readonly string _model;

    /// <param name="model">The name of the model; what others in the process do is not counted.</param>
    /// <param name="counters">What the batch has done.</param>
    public BatchMeter(string model, BatchCounters counters)
    {
        _model = model;
        KeyValuePair<string, object?>[] tags = [Telemetry.Tag(Telemetry.ModelTag, model)];
        _meter.CreateObservableUpDownCounter(Active, () => Measure(counters.Active), "{text}", "Texts that are being written.");
        _meter.CreateObservableUpDownCounter(Waiting, () => Measure(counters.Waiting), "{text}", "Texts that wait for a place in the batch.");
        _meter.CreateObservableCounter(Texts, () => Measure(counters.Texts), "{text}", "Texts that were taken into the batch.");
        _meter.CreateObservableCounter(Steps, () => Measure(counters.Steps), "{step}", "Steps of the batch.");
        _meter.CreateObservableCounter(StepTexts, () => Measure(counters.StepTexts), "{text}", "Texts in all steps of the batch.");
        Meter models = Telemetry.Tokens.Meter;
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter == _meter || instrument.Meter == models)
            {
                listener.EnableMeasurementEvents(instrument);
            }
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, labels, _) => Add(instrument, value, labels));
        _listener.SetMeasurementEventCallback<double>((instrument, value, labels, _) => Add(instrument, value, labels));
        _listener.Start();

        Measurement<long> Measure(long value) => new(value, tags);
    }

    /// <summary>Reads some numbers, all at the same time.</summary>
    /// <param name="read">Asks for the sum of what an instrument has measured, of one kind of tokens or of what has no kinds.</param>
    public void Read(Action<Func<string, string?, double>> read)
    {
        lock (_gate)
        {
            _listener.RecordObservableInstruments();
            read((instrument, kind) => _sums.GetValueOrDefault((instrument, kind)));
        }
    }

    public void Dispose()
    {
        _listener.Dispose();
        _meter.Dispose();
    }

    private void Add(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> labels)
    {
        string? kind = null;
        foreach (KeyValuePair<string, object?> label in labels)
        {
            if (label.Key == Telemetry.ModelTag && !_model.Equals(label.Value))
            {
                return;
            }

            kind = label.Key == Telemetry.KindTag ? (string?)label.Value : kind;
        }

        lock (_gate)
        {
            // What is observed is a sum already.
            _sums[(instrument.Name, kind)] = instrument.IsObservable ? value : _sums.GetValueOrDefault((instrument.Name, kind)) + value;
        }
    }
}
