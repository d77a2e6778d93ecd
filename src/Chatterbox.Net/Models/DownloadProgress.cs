using System.Diagnostics;

namespace Chatterbox.Models;

/// <summary>How far a download is.</summary>
/// <param name="File">The file that is coming in.</param>
/// <param name="Bytes">Bytes that are there, of all files to be downloaded.</param>
/// <param name="TotalBytes">Bytes of all files to be downloaded.</param>
public readonly record struct DownloadProgress(string File, long Bytes, long TotalBytes)
{
    /// <summary>The completed part, from 0 to 1.</summary>
    public double Fraction => TotalBytes == 0 ? 1 : (double)Bytes / TotalBytes;
}

/// <summary>Adds up what comes in on all connections, and reports it a few times a second.</summary>
internal sealed class ProgressMeter(IProgress<DownloadProgress>? progress, long totalBytes)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);

    private readonly Lock _lock = new();
    private readonly Stopwatch _sinceReport = Stopwatch.StartNew();
    private long _bytes;

    /// <summary>Counts bytes of a file; reports them if the last report is long enough ago or all are there.</summary>
    public void Advance(string file, long bytes)
    {
        lock (_lock)
        {
            _bytes += bytes;
            if (_sinceReport.Elapsed >= Interval || _bytes == totalBytes)
            {
                _sinceReport.Restart();
                progress?.Report(new DownloadProgress(file, _bytes, totalBytes));
            }
        }
    }
}
