namespace Chatterbox.Streaming;

/// <summary>How fast a model is on its device when nobody else uses it.</summary>
/// <param name="SecondsPerStep">What T3 takes for a speech token.</param>
/// <param name="SecondsPerPass">What a pass of S3Gen, HiFT and the watermark takes, however short it is.</param>
/// <param name="SecondsPerPassToken">What it takes beside that for each token that it goes over, those of prompt and past too.</param>
internal sealed record ChunkPace(double SecondsPerStep, double SecondsPerPass, double SecondsPerPassToken)
{
    /// <summary>Seconds of a pass.</summary>
    public double PassOver(int tokens) => SecondsPerPass + (tokens * SecondsPerPassToken);
}
