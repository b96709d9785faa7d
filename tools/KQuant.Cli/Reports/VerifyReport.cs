namespace KQuant.Cli.Reports;

/// <summary>What <c>kquant verify --json</c> prints.</summary>
internal sealed record VerifyReport(
    string Model, string? Against, bool Passed, IReadOnlyList<string> Problems, IReadOnlyList<FormatErrorReport> Formats,
    IReadOnlyList<VerifiedTensorReport> Tensors);

/// <summary>All tensors of one format.</summary>
internal sealed record FormatErrorReport(string Format, int Tensors, double? MaxNmse, ErrorReport? Error);

/// <summary>One tensor.</summary>
internal sealed record VerifiedTensorReport(
    string Name, string Format, IReadOnlyList<long> Shape, bool Checked, long NonFinite, ErrorReport? Error, bool ExceedsLimit);
