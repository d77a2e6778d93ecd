namespace Chatterbox.Streaming;

/// <summary>How fast a model is on its device when nobody else uses it.</summary>
/// <param name="SecondsPerStep">What T3 takes for a speech token.</param>
/// <param name="SecondsPerPass">What a pass of S3Gen, HiFT and the watermark takes, however short it is.</param>
/// <param name="SecondsPerPassToken">What it takes beside that for each token that it goes over, those of prompt and past too.</param>
internal sealed record ModelSpeed(double SecondsPerStep, double SecondsPerPass, double SecondsPerPassToken)
{
    private const double StepsInCompany = 3,
        PassesInCompany = 2; // times as long, with some eight listeners on an H200

    /// <summary>Seconds of a pass.</summary>
    public double SecondsOfPass(int tokens) => SecondsPerPass + (tokens * SecondsPerPassToken);

    /// <summary>How fast the model is to be taken to be where it may serve many at once: so that the chunks of a stream, which do not
    /// depend
    /// on who else is served, still come in time.</summary>
    public ModelSpeed InCompany() =>
        new(StepsInCompany * SecondsPerStep, PassesInCompany * SecondsPerPass, PassesInCompany * SecondsPerPassToken);
}
