namespace Chatterbox.Engine;

/// <summary>How fast an engine gets through its work, all models and everything in company together: characters of text over the
/// time in which there was something to do. No clock.</summary>
internal sealed class ServiceRate
{
    private const double Newest = 0.2; // weight of the last piece

    private double? _secondsPerCharacter;
    private TimeSpan? _since; // the last piece's end, or the first's beginning where there was nothing to do before

    /// <summary>Time for some characters of text; null before anything was measured.</summary>
    public TimeSpan? TimeFor(int characters) => _secondsPerCharacter is { } each ? TimeSpan.FromSeconds(each * characters) : null;

    /// <summary>Something is being done.</summary>
    /// <param name="now">The time.</param>
    public void Begin(TimeSpan now) => _since ??= now;

    /// <summary>A piece has been finished.</summary>
    /// <param name="characters">Its characters.</param>
    /// <param name="now">The time.</param>
    /// <param name="isIdle">Whether there is nothing more to do.</param>
    public void Finish(int characters, TimeSpan now, bool isIdle)
    {
        if (characters > 0 && _since is { } since)
        {
            var each = (now - since).TotalSeconds / characters;
            _secondsPerCharacter = _secondsPerCharacter is { } before ? before + (Newest * (each - before)) : each;
        }

        _since = isIdle ? null : now;
    }
}
