using System.Text.Json.Serialization;

namespace Chatterbox.Service.Diagnostics;

/// <summary>How a thing that was checked is.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<Verdict>))]
internal enum Verdict
{
    /// <summary>As it should be.</summary>
    Ok,

    /// <summary>Works; something optional is missing.</summary>
    Note,

    /// <summary>Works, but much slower or less safely than it could.</summary>
    Warning,

    /// <summary>Speech would fail.</summary>
    Fault,
}

/// <summary>One thing that was checked.</summary>
/// <param name="Topic">What it belongs to: machine, GPU, model, formats, or files.</param>
/// <param name="Name">What was checked.</param>
/// <param name="Verdict">How it is.</param>
/// <param name="Value">What was found.</param>
/// <param name="Remedy">What to do about it; null where there is nothing to do.</param>
internal sealed record Finding(string Topic, string Name, Verdict Verdict, string Value, string? Remedy = null);

/// <summary>All that was checked.</summary>
/// <param name="CanSpeak">False where speech would fail.</param>
/// <param name="Findings">In the order in which they are shown.</param>
internal sealed record DoctorReport(bool CanSpeak, IReadOnlyList<Finding> Findings);
