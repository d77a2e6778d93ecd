namespace Chatterbox.Audio.Mp3;

/// <summary>The bands of lines that share a scale factor.</summary>
/// <remarks>Source: ISO/IEC 11172-3, table B.8; ISO/IEC 13818-3, table B.2; below 16 kHz, where there is no standard, what decoders
/// have.</remarks>
internal sealed class ScaleFactorBands
{
    /// <summary>Bands with a scale factor of their own; the lines above the last have none.</summary>
    public const int Count = 21;

    private static readonly Dictionary<int, (int[] Long, int[] Short)> Borders = new()
    {
        [44_100] = (
            [0, 4, 8, 12, 16, 20, 24, 30, 36, 44, 52, 62, 74, 90, 110, 134, 162, 196, 238, 288, 342, 418, 576],
            [0, 4, 8, 12, 16, 22, 30, 40, 52, 66, 84, 106, 136, 192]
        ),
        [48_000] = (
            [0, 4, 8, 12, 16, 20, 24, 30, 36, 42, 50, 60, 72, 88, 106, 128, 156, 190, 230, 276, 330, 384, 576],
            [0, 4, 8, 12, 16, 22, 28, 38, 50, 64, 80, 100, 126, 192]
        ),
        [32_000] = (
            [0, 4, 8, 12, 16, 20, 24, 30, 36, 44, 54, 66, 82, 102, 126, 156, 194, 240, 296, 364, 448, 550, 576],
            [0, 4, 8, 12, 16, 22, 30, 42, 58, 78, 104, 138, 180, 192]
        ),
        [22_050] = (
            [0, 6, 12, 18, 24, 30, 36, 44, 54, 66, 80, 96, 116, 140, 168, 200, 238, 284, 336, 396, 464, 522, 576],
            [0, 4, 8, 12, 18, 24, 32, 42, 56, 74, 100, 132, 174, 192]
        ),
        [24_000] = (
            [0, 6, 12, 18, 24, 30, 36, 44, 54, 66, 80, 96, 114, 136, 162, 194, 232, 278, 332, 394, 464, 540, 576],
            [0, 4, 8, 12, 18, 26, 36, 48, 62, 80, 104, 136, 180, 192]
        ),
        [16_000] = (
            [0, 6, 12, 18, 24, 30, 36, 44, 54, 66, 80, 96, 116, 140, 168, 200, 238, 284, 336, 396, 464, 522, 576],
            [0, 4, 8, 12, 18, 26, 36, 48, 62, 80, 104, 134, 174, 192]
        ),
        [8_000] = (
            [0, 12, 24, 36, 48, 60, 72, 88, 108, 132, 160, 192, 232, 280, 336, 400, 476, 566, 568, 570, 572, 574, 576],
            [0, 8, 16, 24, 36, 52, 72, 96, 124, 160, 162, 164, 166, 192]
        ),
    };

    private readonly int[] _shortPositions; // [window, line]

    private ScaleFactorBands(int[] longBorders, int[] shortBorders)
    {
        (Long, Short) = (longBorders, shortBorders);
        _shortPositions = new int[3 * shortBorders[^1]];
        for (var band = 0; band + 1 < shortBorders.Length; band++)
        {
            var width = shortBorders[band + 1] - shortBorders[band];
            for (var i = 0; i < 3 * width; i++)
            {
                var (window, line) = (i / width, i % width);
                _shortPositions[(window * shortBorders[^1]) + shortBorders[band] + line] = (3 * shortBorders[band]) + i;
            }
        }
    }

    /// <summary>Where bands of long windows begin, in lines; 23 numbers.</summary>
    public IReadOnlyList<int> Long { get; }

    /// <summary>Where bands of short windows begin, in lines of one window; 14 numbers.</summary>
    public IReadOnlyList<int> Short { get; }

    /// <summary>The bands of a sample rate (Hz).</summary>
    public static ScaleFactorBands Of(int sampleRate)
    {
        var (longBorders, shortBorders) = Borders[sampleRate is 11_025 or 12_000 ? 16_000 : sampleRate];
        return new ScaleFactorBands(longBorders, shortBorders);
    }

    /// <summary>Where a line of a short window stands among the 576: band by band, and window by window in each.</summary>
    public int ShortPosition(int line, int window) => _shortPositions[(window * Short[^1]) + line];
}
