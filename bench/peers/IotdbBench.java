// IotdbBench HOST PORT FILE WRITERS: writes the readings of a tab-separated file with the client's own tablets. The file is read
// first; what is printed is the time of the writing.
import java.io.BufferedReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.iotdb.session.Session;
import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.write.record.Tablet;
import org.apache.tsfile.write.schema.IMeasurementSchema;
import org.apache.tsfile.write.schema.MeasurementSchema;

public class IotdbBench {
  static final int ROWS_A_TABLET = 1000;
  static final int TABLETS_A_CALL = 16;

  record Reading(long time, long id, Double pressure, float flow, int kind, long total, String note) {}

  public static void main(String[] a) throws Exception {
    Map<Integer, List<Reading>> devices = read(Path.of(a[2]));
    int writers = Integer.parseInt(a[3]);
    List<Session> sessions = new ArrayList<>();
    for (int i = 0; i < writers; i++) {
      Session session = new Session.Builder().host(a[0]).port(Integer.parseInt(a[1])).username("root").password("root").build();
      session.open(false);
      sessions.add(session);
    }
    ExecutorService pool = Executors.newFixedThreadPool(writers);
    long begin = System.nanoTime();
    List<Future<Void>> done = new ArrayList<>();
    for (int i = 0; i < writers; i++) {
      Session session = sessions.get(i);
      Map<Integer, List<Reading>> own = new TreeMap<>();
      for (Map.Entry<Integer, List<Reading>> e : devices.entrySet()) {
        if (e.getKey() % writers == i) own.put(e.getKey(), e.getValue());
      }
      Callable<Void> writing = () -> write(session, own);
      done.add(pool.submit(writing));
    }
    for (Future<Void> f : done) f.get();
    System.out.println("\nwrote_ms=" + (System.nanoTime() - begin) / 1_000_000);
    for (Session s : sessions) s.close();
    pool.shutdown();
  }

  static Map<Integer, List<Reading>> read(Path file) throws Exception {
    DateTimeFormatter form = DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss.SSS");
    Map<Integer, List<Reading>> devices = new HashMap<>();
    try (BufferedReader in = Files.newBufferedReader(file, StandardCharsets.UTF_8)) {
      for (String line; (line = in.readLine()) != null; ) {
        String[] f = line.split("\t", -1);
        long time = LocalDateTime.parse(f[2], form).toInstant(ZoneOffset.UTC).toEpochMilli();
        devices.computeIfAbsent(Integer.valueOf(f[1]), d -> new ArrayList<>()).add(new Reading(time, Long.parseLong(f[0]),
            f[3].equals("NULL") ? null : Double.valueOf(f[3]), Float.parseFloat(f[4]), Integer.parseInt(f[5]), Long.parseLong(f[6]),
            f[7].equals("NULL") ? null : f[7]));
      }
    }
    return devices;
  }

  static Void write(Session session, Map<Integer, List<Reading>> devices) throws Exception {
    List<IMeasurementSchema> columns = List.of(
        new MeasurementSchema("id", TSDataType.INT64), new MeasurementSchema("pressure", TSDataType.DOUBLE),
        new MeasurementSchema("flow", TSDataType.FLOAT), new MeasurementSchema("kind", TSDataType.INT32),
        new MeasurementSchema("total", TSDataType.INT64), new MeasurementSchema("note", TSDataType.TEXT));
    boolean more = true;
    for (int from = 0; more; from += ROWS_A_TABLET) {
      more = false;
      Map<String, Tablet> call = new HashMap<>();
      for (Map.Entry<Integer, List<Reading>> device : devices.entrySet()) {
        List<Reading> readings = device.getValue();
        if (from >= readings.size()) continue;
        more = true;
        String path = "root.bench.pump_" + device.getKey();
        Tablet tablet = new Tablet(path, columns, ROWS_A_TABLET);
        int row = 0;
        for (Reading r : readings.subList(from, Math.min(from + ROWS_A_TABLET, readings.size()))) {
          tablet.addTimestamp(row, r.time());
          tablet.addValue("id", row, r.id());
          tablet.addValue("pressure", row, r.pressure());
          tablet.addValue("flow", row, r.flow());
          tablet.addValue("kind", row, r.kind());
          tablet.addValue("total", row, r.total());
          tablet.addValue("note", row, r.note());
          row++;
        }
        call.put(path, tablet);
        if (call.size() == TABLETS_A_CALL) {
          session.insertTablets(call, true);
          call = new HashMap<>();
        }
      }
      if (!call.isEmpty()) session.insertTablets(call, true);
    }
    return null;
  }
}
