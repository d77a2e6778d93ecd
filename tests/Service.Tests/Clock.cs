namespace Chatterbox.Service.Tests;

/// <summary>A clock that can be put forward; its timers are the system's.</summary>
internal sealed class Clock : TimeProvider
{
    private int _ticks;

    public TimeSpan Ahead { get; set; }

    /// <summary>How often timers have fired.</summary>
    public int Ticks => Volatile.Read(ref _ticks);

    public override long GetTimestamp() => base.GetTimestamp() + (long)(Ahead.TotalSeconds * TimestampFrequency);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
        base.CreateTimer(
            of =>
            {
                callback(of);
                Interlocked.Increment(ref _ticks);
            },
            state,
            dueTime,
            period
        );
}
