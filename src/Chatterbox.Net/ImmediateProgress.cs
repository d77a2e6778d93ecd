namespace Chatterbox;

/// <summary>Passes progress on at once and in order (<see cref="Progress{T}"/> promises neither).</summary>
internal sealed class ImmediateProgress<T>(Action<T> report) : IProgress<T>
{
    /// <inheritdoc/>
    public void Report(T value) => report(value);
}
