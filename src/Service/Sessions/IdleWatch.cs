namespace Chatterbox.Service.Sessions;

/// <summary>Finds out that nothing happens on a connection any more.</summary>
/// <param name="time">The clock.</param>
internal sealed class IdleWatch(TimeProvider time)
{
    private long _last = time.GetTimestamp();

    /// <summary>A message has come.</summary>
    public void Touch() => _last = time.GetTimestamp();

    /// <summary>Waits until there has been neither a message nor speech for some time.</summary>
    /// <param name="longest">That time.</param>
    /// <param name="isIdle">Whether nothing is being spoken, and nothing waits.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>False where it was cancelled before.</returns>
    public async Task<bool> ExpiresAsync(TimeSpan longest, Func<bool> isIdle, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(Math.Clamp(longest.TotalSeconds / 4, 0.05, 1)), time);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken))
            {
                if (!isIdle())
                {
                    Touch();
                }
                else if (time.GetElapsedTime(_last) >= longest)
                {
                    return true;
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The connection has ended in another way.
        }

        return false;
    }
}
