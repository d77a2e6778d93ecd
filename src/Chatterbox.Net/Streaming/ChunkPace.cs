namespace Chatterbox.Streaming;

/// <summary>How fast a model has been lately. Not for several threads at once.</summary>
internal sealed class ChunkPace
{
    private const double Weight = 0.25;   // of the newest measurement

    /// <summary>Seconds that T3 takes for a speech token. Before anything is measured, a guess.</summary>
    public double SecondsPerStep { get; private set; } = 0.01;

    /// <summary>Seconds that a pass of S3Gen, HiFT and the watermark takes for each token in it, those of prompt and past
    /// too. Before anything is measured, a guess.</summary>
    public double SecondsPerPassToken { get; private set; } = 0.0005;

    /// <summary>T3 has made some tokens.</summary>
    public void Stepped(int tokens, TimeSpan taken) => SecondsPerStep = Blend(SecondsPerStep, tokens, taken);

    /// <summary>A pass has been made.</summary>
    public void Passed(int tokens, TimeSpan taken) => SecondsPerPassToken = Blend(SecondsPerPassToken, tokens, taken);

    private static double Blend(double before, int count, TimeSpan taken) =>
        count == 0 ? before : ((1 - Weight) * before) + (Weight * taken.TotalSeconds / count);
}
