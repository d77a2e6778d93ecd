using System.Globalization;

namespace Chatterbox.Benchmarks;

/// <summary>How measurements are told.</summary>
internal static class Report
{
    /// <summary>Environment variable with the file that <see cref="Record"/> writes to.</summary>
    public const string RecordFile = "CHATTERBOX_BENCHMARK_RECORD";

    /// <summary>Prints a line, its numbers as in English.</summary>
    public static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));

    /// <summary>Keeps a number for <see cref="TableBenchmark"/>, if that is who runs this process.</summary>
    /// <param name="name">What was measured.</param>
    /// <param name="value">In ms, s or GiB, as the table says.</param>
    public static void Record(string name, double value)
    {
        if (Environment.GetEnvironmentVariable(RecordFile) is { } file)
        {
            File.AppendAllLines(file, [string.Create(CultureInfo.InvariantCulture, $"{name}\t{value}")]);
        }
    }

    /// <summary>The middle of some measurements.</summary>
    public static double Median(IReadOnlyCollection<double> values) => values.Order().ElementAt(values.Count / 2);
}
