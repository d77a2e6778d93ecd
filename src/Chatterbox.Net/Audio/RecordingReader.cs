namespace Chatterbox.Audio;

/// <summary>Reads one recording from a stream of its bytes.</summary>
/// <param name="stream">The file's bytes from its first one on.</param>
/// <param name="source">What the recording is called, and how long it may be.</param>
internal delegate AudioClip RecordingReader(Stream stream, RecordingSource source);

/// <summary>What every reader is given besides the bytes.</summary>
/// <param name="Name">What to call the recording in errors.</param>
/// <param name="Longest">Refuses a longer recording while it is decoded; null sets no limit but that of memory.</param>
/// <param name="Cancel">Ends the reading early.</param>
internal sealed record RecordingSource(string Name, TimeSpan? Longest, CancellationToken Cancel)
{
    private const string Damaged = "The file is damaged: export the recording again.";

    /// <summary>A place for the samples.</summary>
    /// <inheritdoc cref="SampleCollector(string, int, int, TimeSpan?)"/>
    public SampleCollector Collect(int sampleRate, int channels) => new(Name, sampleRate, channels, Longest);

    /// <summary>The error of a damaged file.</summary>
    /// <param name="what">What was found and what was expected, as a sentence without its full stop.</param>
    /// <param name="cause">The cause, if another exception was.</param>
    public VoiceException IsDamaged(string what, Exception? cause = null) => new($"{Name}: {what}. {Damaged}", cause);
}

/// <summary>A recording is of a kind that is not decoded in this process: ffmpeg may be able to.</summary>
/// <param name="reason">What it is, as a sentence without its subject and full stop.</param>
internal sealed class NotDecodedHereException(string reason) : Exception(reason);
