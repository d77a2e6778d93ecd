using System.Net;
using System.Net.Http.Headers;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Chatterbox.Models;

/// <summary>
/// The download of one file of known size into a partial file: in parts by HTTP ranges, several at a time, each going on
/// where it was cut off, also in a later process. What the partial file holds is judged by its hash afterwards, not here.
/// </summary>
/// <remarks>
/// Beside the partial file lies how much there is of each part: size, part size, then one number a part, 64-bit each.
/// A server that knows no ranges is read from the beginning to the end.
/// </remarks>
internal sealed class ResumableDownload
{
    private const int BufferBytes = 1 << 17;

    private readonly HubHttp _http;
    private readonly ModelHubOptions _options;
    private readonly Uri _url;
    private readonly string _path;
    private readonly long _size;
    private readonly Func<HttpResponseMessage, Exception> _refused;
    private readonly Action<long> _advanced;
    private readonly long[] _done;

    /// <param name="http">Sends the requests.</param>
    /// <param name="options">Connections and size of the parts.</param>
    /// <param name="url">What to download.</param>
    /// <param name="path">The partial file, which only this download writes to.</param>
    /// <param name="size">Size of the file in bytes.</param>
    /// <param name="refused">The error that an answer other than the file means.</param>
    /// <param name="advanced">Receives each number of bytes that came in, below zero where some have to come again.</param>
    public ResumableDownload(
        HubHttp http,
        ModelHubOptions options,
        Uri url,
        string path,
        long size,
        Func<HttpResponseMessage, Exception> refused,
        Action<long> advanced
    )
    {
        (_http, _options, _url, _path, _size, _refused, _advanced) = (http, options, url, path, size, refused, advanced);
        _done = LoadState(path, size, options.PartBytes);
        AlreadyThere = _done.Sum();
    }

    /// <summary>Bytes that an earlier download of the file left.</summary>
    public long AlreadyThere { get; }

    /// <summary>Bytes that an earlier download of a file left in its partial file.</summary>
    public static long BytesIn(string path, long size, ModelHubOptions options) => LoadState(path, size, options.PartBytes).Sum();

    /// <summary>Gives a partial file and what is known of it up.</summary>
    public static void Delete(string path)
    {
        File.Delete(StateOf(path));
        File.Delete(path);
    }

    /// <summary>Downloads what is missing.</summary>
    /// <exception cref="IOException">The disk is full or fails.</exception>
    /// <exception cref="UnavailableException">The server could not be reached, or cut the connection again and again.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var file = File.OpenHandle(_path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, FileOptions.Asynchronous);
        RandomAccess.SetLength(file, _size);
        try
        {
            try
            {
                var parallel = new ParallelOptions { MaxDegreeOfParallelism = _options.Connections, CancellationToken = cancellationToken };
                await Parallel.ForAsync(
                    0,
                    _done.Length,
                    parallel,
                    async (part, stop) => await _http.RetryAsync(() => PartAsync(file, part, stop), () => _done[part], stop)
                );
            }
            catch (RangesUnknownException)
            {
                await _http.RetryAsync(() => WholeAsync(file, cancellationToken), () => 0, cancellationToken);
            }

            RandomAccess.FlushToDisk(file);
        }
        finally
        {
            SaveState();
        }
    }

    private async Task<bool> PartAsync(SafeFileHandle file, int part, CancellationToken cancellationToken)
    {
        var start = part * _options.PartBytes;
        var length = Math.Min(_options.PartBytes, _size - start);
        if (_done[part] == length)
        {
            return true;
        }

        var wholeFile = length == _size && _done[part] == 0;
        var from = start + _done[part];
        using var response = await _http.SendAsync(
            HttpMethod.Get,
            _url,
            wholeFile ? null : new RangeHeaderValue(from, start + length - 1),
            toOtherHosts: true,
            cancellationToken
        );
        ThrowIfRefused(response, wholeFile, from);
        await CopyAsync(response, file, part, start, length, cancellationToken);
        SaveState();
        return true;
    }

    private async Task<bool> WholeAsync(SafeFileHandle file, CancellationToken cancellationToken)
    {
        _advanced(-_done.Sum());
        Array.Clear(_done);
        using var response = await _http.SendAsync(HttpMethod.Get, _url, null, toOtherHosts: true, cancellationToken);
        ThrowIfRefused(response, wholeFile: true, 0);
        for (var part = 0; part < _done.Length; part++)
        {
            var start = part * _options.PartBytes;
            await CopyAsync(response, file, part, start, Math.Min(_options.PartBytes, _size - start), cancellationToken);
        }

        return true;
    }

    private async Task CopyAsync(
        HttpResponseMessage response,
        SafeFileHandle file,
        int part,
        long start,
        long length,
        CancellationToken cancellationToken
    )
    {
        var body = await response.Content.ReadAsStreamAsync(cancellationToken);
        var buffer = new byte[BufferBytes];
        while (_done[part] < length)
        {
            var read = await _http.ReadAsync(
                _url,
                body,
                buffer.AsMemory(0, (int)Math.Min(BufferBytes, length - _done[part])),
                cancellationToken
            );
            if (read == 0)
            {
                throw new PassingException($"{_url.Host} stopped sending at byte {start + _done[part]} of {_size}");
            }

            await RandomAccess.WriteAsync(file, buffer.AsMemory(0, read), start + _done[part], cancellationToken);
            _done[part] += read;
            _advanced(read);
        }
    }

    private void ThrowIfRefused(HttpResponseMessage response, bool wholeFile, long from)
    {
        var host = response.RequestMessage!.RequestUri!;
        var range = response.Content.Headers.ContentRange;
        switch (response.StatusCode)
        {
            case HttpStatusCode.PartialContent when !wholeFile && range?.From == from && (range.Length ?? _size) == _size:
                return;
            case HttpStatusCode.OK when wholeFile && (response.Content.Headers.ContentLength ?? _size) == _size:
                return;
            case HttpStatusCode.OK when !wholeFile:
                throw new RangesUnknownException();
            case HttpStatusCode.OK or HttpStatusCode.PartialContent or HttpStatusCode.RequestedRangeNotSatisfiable:
                throw new CheckpointException(
                    $"{_url} has {range?.Length ?? response.Content.Headers.ContentLength} bytes now, expected {_size}: it changed "
                        + $"upstream. Try again; if it stays so, update this program or name another revision."
                );
            case HttpStatusCode.Unauthorized
            or HttpStatusCode.Forbidden
            or HttpStatusCode.NotFound
            or HttpStatusCode.Gone when !HubHttp.SameHost(host, _url):
                // A signed address of the storage behind has run out: the next try asks for a new one.
                throw new PassingException($"{host.Host} answers {(int)response.StatusCode} {response.ReasonPhrase}");
            default:
                throw _refused(response);
        }
    }

    private static long[] LoadState(string path, long size, long partBytes)
    {
        var nothing = new long[(size + partBytes - 1) / partBytes];
        try
        {
            var state = MemoryMarshal.Cast<byte, long>(File.ReadAllBytes(StateOf(path)));
            if (
                state.Length != nothing.Length + 2
                || state[0] != size
                || state[1] != partBytes
                || new FileInfo(path) is not { Exists: true } file
                || file.Length != size
            )
            {
                return nothing;
            }

            var done = state[2..].ToArray();
            return done.Index().All(d => d.Item >= 0 && d.Item <= Math.Min(partBytes, size - d.Index * partBytes)) ? done : nothing;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return nothing;
        }
    }

    private void SaveState()
    {
        try
        {
            lock (_done)
            {
                var state = (ReadOnlySpan<long>)[_size, _options.PartBytes, .. _done];
                File.WriteAllBytes(StateOf(_path) + ".new", MemoryMarshal.AsBytes(state));
                File.Move(StateOf(_path) + ".new", StateOf(_path), overwrite: true);
            }
        }
        catch (IOException)
        {
            // On a full disk the state is lost, which costs a later download some of what is already there, and nothing else.
        }
    }

    private static string StateOf(string path) => path + ".state";

    private sealed class RangesUnknownException : Exception;
}
