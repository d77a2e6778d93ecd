using System.Buffers;
using System.Runtime.InteropServices;

namespace Chatterbox.Audio.Mp3;

/// <summary>Encodes one channel as MP3 of a constant bit rate with the system's libmp3lame.</summary>
/// <remarks>Frames are independent (no bit reservoir), so that a stream can be played from any of them. libmp3lame lowers the level
/// slightly
/// at common bit rates, so that the decoded samples do not clip.</remarks>
internal sealed unsafe class LameEncoder : IAudioEncoder
{
    private const int Mono = 3;
    private const int Quality = 3; // of 0, best and slowest, to 9

    private static readonly string[] Names =
        OperatingSystem.IsWindows() ? ["libmp3lame.dll", "lame_enc.dll"]
        : OperatingSystem.IsMacOS() ? ["libmp3lame.0.dylib", "/opt/homebrew/lib/libmp3lame.0.dylib", "/usr/local/lib/libmp3lame.0.dylib"]
        : ["libmp3lame.so.0"];

    private static readonly Lazy<Library?> Installed = new(Library.Find);

    private readonly Library _lame = Installed.Value ?? throw new InvalidOperationException("libmp3lame is not installed.");
    private nint _encoder;

    /// <param name="sampleRate">One of <see cref="Mp3Header.SampleRates"/> (Hz).</param>
    /// <param name="bitRate">One of <see cref="Mp3Header.BitRates"/> for it (bits a second).</param>
    /// <param name="isWhole">Whether the file will be completed: it then begins with a frame for what is known at its end.</param>
    public LameEncoder(int sampleRate, int bitRate, bool isWhole = false)
    {
        _encoder = _lame.Create();
        _lame.Set("lame_set_in_samplerate", _encoder, sampleRate);
        _lame.Set("lame_set_out_samplerate", _encoder, sampleRate);
        _lame.Set("lame_set_num_channels", _encoder, 1);
        _lame.Set("lame_set_mode", _encoder, Mono);
        _lame.Set("lame_set_brate", _encoder, bitRate / 1000);
        _lame.Set("lame_set_quality", _encoder, Quality);
        _lame.Set("lame_set_disable_reservoir", _encoder, 1);
        _lame.Set("lame_set_bWriteVbrTag", _encoder, isWhole ? 1 : 0);
        if (_lame.Begin(_encoder) < 0)
        {
            Dispose();
            throw new InvalidOperationException($"libmp3lame does not take {sampleRate} Hz at {bitRate} bits a second.");
        }
    }

    /// <summary>Whether the library is on this computer.</summary>
    public static bool IsInstalled => Installed.Value is not null;

    /// <inheritdoc/>
    public void Encode(ReadOnlySpan<float> samples, IBufferWriter<byte> output)
    {
        var bytes = output.GetSpan((samples.Length * 5 / 4) + 7200); // as its documentation asks for
        fixed (float* input = samples)
        fixed (byte* room = bytes)
        {
            output.Advance(Check(_lame.Encode(_encoder, input, input, samples.Length, room, bytes.Length)));
        }
    }

    /// <inheritdoc/>
    public void Finish(IBufferWriter<byte> output)
    {
        var bytes = output.GetSpan(7200);
        fixed (byte* room = bytes)
        {
            output.Advance(Check(_lame.Flush(_encoder, room, bytes.Length)));
        }
    }

    /// <inheritdoc/>
    public void Complete(Span<byte> head, long fileBytes)
    {
        fixed (byte* room = head)
        {
            _lame.Tag(_encoder, room, head.Length);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_encoder != 0)
        {
            _lame.Close(_encoder);
            _encoder = 0;
        }
    }

    private static int Check(int result) => result >= 0 ? result : throw new EncoderException($"libmp3lame failed with {result}.");

    /// <summary>The functions of libmp3lame that are used.</summary>
    private sealed class Library(nint handle)
    {
        private readonly delegate* unmanaged<nint> _create = (delegate* unmanaged<nint>)NativeLibrary.GetExport(handle, "lame_init");
        private readonly delegate* unmanaged<nint, int> _begin = (delegate* unmanaged<nint, int>)
            NativeLibrary.GetExport(handle, "lame_init_params");
        private readonly delegate* unmanaged<nint, int> _close = (delegate* unmanaged<nint, int>)
            NativeLibrary.GetExport(handle, "lame_close");
        private readonly delegate* unmanaged<nint, byte*, int, int> _flush = (delegate* unmanaged<nint, byte*, int, int>)
            NativeLibrary.GetExport(handle, "lame_encode_flush");
        private readonly delegate* unmanaged<nint, float*, float*, int, byte*, int, int> _encode = (delegate* unmanaged<
            nint,
            float*,
            float*,
            int,
            byte*,
            int,
            int>)
            NativeLibrary.GetExport(handle, "lame_encode_buffer_ieee_float");

        private readonly delegate* unmanaged<nint, byte*, nint, nint> _tag = (delegate* unmanaged<nint, byte*, nint, nint>)
            NativeLibrary.GetExport(handle, "lame_get_lametag_frame");

        public static Library? Find()
        {
            foreach (var name in Names)
            {
                if (
                    NativeLibrary.TryLoad(name, out var handle)
                    && NativeLibrary.TryGetExport(handle, "lame_encode_buffer_ieee_float", out _)
                )
                {
                    return new Library(handle);
                }
            }

            return null;
        }

        public nint Create() => _create() is var encoder and not 0 ? encoder : throw new EncoderException("libmp3lame has no memory left.");

        public void Set(string function, nint encoder, int value) =>
            ((delegate* unmanaged<nint, int, int>)NativeLibrary.GetExport(handle, function))(encoder, value);

        public int Begin(nint encoder) => _begin(encoder);

        public void Close(nint encoder) => _close(encoder);

        public int Flush(nint encoder, byte* room, int size) => _flush(encoder, room, size);

        public void Tag(nint encoder, byte* room, int size) => _tag(encoder, room, size);

        public int Encode(nint encoder, float* left, float* right, int count, byte* room, int size) =>
            _encode(encoder, left, right, count, room, size);
    }
}
